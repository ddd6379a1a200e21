"""The kitchen: a cook with macro-actions makes a salad (the Overcooked task of 2401.14151 and 2410.07927)."""
