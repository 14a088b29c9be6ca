"""Exit codes (contract section 4); 130 and 143 come from the signal's number."""

#: An `ERROR` response, or `verify`, `doctor` or `simulate` found a fault.
RESPONSE_ERROR = 1
#: No such file, flag, batch: the call itself cannot be carried out.
USAGE = 2
#: `--fail-on-item-failure` was given and items failed.
ITEMS_FAILED = 3
