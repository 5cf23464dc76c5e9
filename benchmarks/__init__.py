"""What `sig` costs, measured. See README.md here."""
