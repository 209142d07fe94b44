"""Questions over a text collection, with a search tool."""
