"""The commands, a module each: they gather parts, run them and tell how it went."""
