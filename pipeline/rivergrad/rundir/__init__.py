"""What a run writes into its directory, and reading it again."""
