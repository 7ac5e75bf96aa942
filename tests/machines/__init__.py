"""State machines of hypothesis over the real pure code: many short lives instead of one long."""
