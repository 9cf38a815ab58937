"""Operations: settings, the list of parts, the supervisor and the command line."""
