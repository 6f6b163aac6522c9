"""How `docket serve` answers: the bounds of a connection, the processes that listen, and how they stop."""
