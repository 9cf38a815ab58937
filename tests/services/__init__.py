"""Real servers for the tests: started once for a test session, on loopback or a unix socket."""
