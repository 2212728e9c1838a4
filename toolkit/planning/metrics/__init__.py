"""The files for an operator's Prometheus: targets, scrape configuration, rules."""
