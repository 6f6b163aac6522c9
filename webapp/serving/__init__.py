"""How `docket serve` answers: the limits of a connection, the processes that listen, and how they stop."""
