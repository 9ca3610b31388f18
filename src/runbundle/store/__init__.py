"""Many runs of a store: listed, held against each other, traced; and the models that were chosen from them."""
