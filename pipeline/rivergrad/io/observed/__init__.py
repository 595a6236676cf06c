"""Archives of observed discharge: a module a format, and what makes one set of gauges of many files."""
