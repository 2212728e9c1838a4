"""What an operator's Prometheus is given: targets, scrape configuration, rules."""
