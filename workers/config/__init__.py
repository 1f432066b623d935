"""Every setting of a worker: what there is, what each may hold, and secrets."""
