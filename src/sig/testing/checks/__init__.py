"""The checks of the conformance suite, by subject: each public function is one, and its docstring is the promise."""
