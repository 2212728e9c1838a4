"""The paths at which every engine answers alike: one router asks replicas of several engines."""

# Answers 200 as long as the replica works. The role `router` repeats it as `router_engine_health`.
HEALTH = "/health"
# Answers with the replica's metrics in the text format of Prometheus.
METRICS = "/metrics"
