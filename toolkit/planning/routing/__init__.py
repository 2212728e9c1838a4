"""The routes of a fleet and the files of its routers."""
