"""One factor on many machines: block rows of L on the workers of a Dask cluster. The only importer of Dask."""
