"""How good predictions are: thin wrappers of the field's libraries, and what they lack. Rates are fractions."""
