"""Warnings of this package that can be silenced, or turned into errors, by their class."""

__all__ = ["ImageShapeWarning", "ScaleWarning"]


class ImageShapeWarning(UserWarning):
    """The rows look like flattened images, and `image_shape` is not given.

    Examples
    --------
    Rows that look like images but are to be a table:

    >>> import warnings
    >>> from sklearn_binfogan.exceptions import ImageShapeWarning
    >>> warnings.simplefilter("ignore", ImageShapeWarning)
    """


class ScaleWarning(UserWarning):
    """Some values lie so far from the others that they would spoil the scale of their column.

    `fit` learns the scale without them. In `partial_fit`: a later piece lies far outside the scale
    that the first one gave.

    Examples
    --------
    Stop instead of going on:

    >>> import warnings
    >>> from sklearn_binfogan.exceptions import ScaleWarning
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("error", ScaleWarning)
    """
