"""Chat: readers that give lines, and the windows that count them."""
