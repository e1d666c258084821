"""Settings that must stand before scipy and scikit-learn are imported."""

import os

os.environ.setdefault("SCIPY_ARRAY_API", "1")
