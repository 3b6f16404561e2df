"""Training: data sets, augmentation, the trainer. Not imported when serving."""
