"""What several test modules need: named parts, no soup of helpers."""
