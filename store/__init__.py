"""State and objects: what must outlive a process."""
