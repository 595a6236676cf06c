"""What is estimated: the parameter model, its bounds, features and priors."""
