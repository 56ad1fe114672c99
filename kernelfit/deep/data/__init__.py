"""Where batches come from: crops and whitening, data sets in device memory, folders and shards of images."""
