"""From a trained net to an engine that may be shipped: INT8 conversion, the judge, and its peers."""
