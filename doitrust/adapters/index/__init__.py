"""An index of a chain's `bp/` records, made by walking its blocks, that follows the tip."""

from doitrust.adapters.index.view import IndexedSources as IndexedSources
from doitrust.adapters.index.view import IndexedView as IndexedView
from doitrust.adapters.index.view import Moment as Moment
