"""What is made live and how: releases, plans, differences, schedules."""
