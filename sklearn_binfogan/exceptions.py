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

    `fit` learns the scale of a table's column without them; pixels of images share one scale, which
    they do spoil. In `partial_fit`: a later piece does not fit the scale that the first one gave,
    because it lies far outside, or because it varies so little that the networks hardly see it.

    Examples
    --------
    Stop instead of going on:

    >>> import warnings
    >>> from sklearn_binfogan.exceptions import ScaleWarning
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("error", ScaleWarning)
    """
