"""`fastars tune`: search settings of training with optuna. Its options are in `command`."""
