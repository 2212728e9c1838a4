"""The files of a model: a revision's snapshot, the headers of its weights, what small files tell; bundles of them."""
