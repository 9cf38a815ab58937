"""The demo: a stream and a chat that the project makes itself."""
