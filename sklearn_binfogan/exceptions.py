"""Warning classes of this package, for filters that silence them or turn them into errors."""

__all__ = ["ImageShapeWarning", "ScaleWarning"]


class ImageShapeWarning(UserWarning):
    """The rows look like flattened images, and `image_shape` is not given.

    Examples
    --------
    Keep rows that look like images as a table, without the warning:

    >>> import warnings
    >>> from sklearn_binfogan.exceptions import ImageShapeWarning
    >>> warnings.simplefilter("ignore", ImageShapeWarning)
    """


class ScaleWarning(UserWarning):
    """Some values lie so far from the others that they would spoil the scale of their column.

    `fit` learns the scale of a table's column without them. Pixels of images share one scale, and
    there such values do spoil it. `partial_fit` warns if a later piece does not fit the scale that
    the first one set: because it lies far outside, or because it varies so little that the networks
    hardly see it, or because its columns have values that generated rows can't have.

    Examples
    --------
    Turn the warning into an error:

    >>> import warnings
    >>> from sklearn_binfogan.exceptions import ScaleWarning
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("error", ScaleWarning)
    """
