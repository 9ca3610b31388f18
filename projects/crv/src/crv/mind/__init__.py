"""What agents hold to be so: valuations, and what they decide by them."""
