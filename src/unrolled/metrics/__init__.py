"""How good predictions are: thin wrappers of the field's libraries, and what they lack. Rates are fractions,
but BLEU and chrF go from 0 to 100, as everywhere."""
