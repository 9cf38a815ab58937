"""Events and the way they travel: the only thing that every room knows."""
