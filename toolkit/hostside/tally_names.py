"""The names of a host's counts of requests in Prometheus: the host tells them, rules and objectives read them.

This module imports no sibling, so that the ops machine uses it too.
"""

READ_SECONDS = "toolkit_log_read_seconds_total"
REQUESTS = "toolkit_requests_total"
FIRST_TOKEN = "toolkit_first_token_seconds"  # noqa: S105
LEFT_WAITING = "toolkit_left_waiting_seconds"
BETWEEN_TOKENS = "toolkit_between_tokens_seconds"
