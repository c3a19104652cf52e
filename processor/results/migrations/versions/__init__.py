"""One module a step; `schema.REVISIONS` counts them."""
