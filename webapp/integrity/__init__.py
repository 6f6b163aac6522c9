"""`docket check`: comparing all data with the rules, with what was declared, and with the guard."""
