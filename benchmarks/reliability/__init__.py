"""What a server keeps to when much is asked of it, or much goes wrong: counts that must agree, and figures."""
