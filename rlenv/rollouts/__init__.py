"""Playing episodes with an engine, as an expert does, and at a level that follows success."""
