"""Deployments: releases, plans, differences, schedules."""
