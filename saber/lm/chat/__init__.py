"""How a model is spoken to: its template, its turns, and the forms that models think in."""
