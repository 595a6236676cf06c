"""A structured fuzzer: named mutations of valid input, each with an oracle that knows what was mutated."""
