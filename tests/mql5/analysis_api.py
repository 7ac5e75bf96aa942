"""Functions of the API that take everything, and still not everything."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from tests.mql5 import tree
from tests.mql5.analysis_base import AnalysisBase
from tests.mql5.conversions import (
    common_type,
    constant_fits,
    is_number,
    is_text,
    sign_mismatch,
)
from tests.mql5.symbols import is_plain
from tests.mql5.types import (
    ANY,
    ERROR,
    STRING,
    ArrayType,
    ClassType,
    EnumType,
    PointerType,
    Scalar,
    Type,
    pointer_to,
)

__all__ = ["CHECKS", "check_printable"]


def check_printable(analysis: AnalysisBase, argument: tree.Expression, what: str) -> None:
    """
    Report an argument that has no text.
    """
    if not is_text(argument.type):
        analysis.report(argument.place, "T003", f"{what}: {argument.type} has no text")


def _get_pointer(analysis: AnalysisBase, call: tree.Call) -> Type:
    of = call.arguments[0].type
    if isinstance(of, PointerType):
        return of
    if isinstance(of, ClassType) and of.symbol.kind == "class":
        if not analysis.is_variable(call.arguments[0]):
            analysis.report(call.place, "T005", "GetPointer needs a variable")
        const = analysis.why_constant(call.arguments[0]) is not None
        return pointer_to(of, const=const)
    if of is not ERROR:
        analysis.report(call.place, "T016", f"GetPointer: {of} is no object of a class")
    return ERROR


def _enum_to_string(analysis: AnalysisBase, call: tree.Call) -> Type:
    of = call.arguments[0].type
    if not isinstance(of, EnumType) and of is not ERROR:
        analysis.report(call.place, "T003", f"EnumToString: {of} is no enum")
    return STRING


def _largest(analysis: AnalysisBase, call: tree.Call) -> Type:
    left, right = call.arguments
    if ERROR in {left.type, right.type} or not (is_number(left.type) and is_number(right.type)):
        return ERROR
    if left.type is right.type:
        return left.type  # type: ignore[no-any-return]  # types are Any in the tree
    for one, other in ((left, right), (right, left)):
        # A constant takes the type of the other: MathMax(ticks,1).
        value = analysis.constant(one)
        if (
            isinstance(other.type, Scalar)
            and value is not None
            and constant_fits(value, other.type)
        ):
            return other.type
    if sign_mismatch(left.type, right.type):
        analysis.report(call.place, "T015", f"{left.type} and {right.type}: write a cast")
    return common_type(left.type, right.type)


def _numeric_fill(analysis: AnalysisBase, call: tree.Call) -> Type:
    _numbers(analysis, call)
    return _fill(1)(analysis, call)


def _fill(value_at: int) -> Callable[[AnalysisBase, tree.Call], Type]:
    def check(analysis: AnalysisBase, call: tree.Call) -> Type:
        array, value = call.arguments[0].type, call.arguments[value_at]
        if isinstance(array, ArrayType) and value.type is not ERROR:
            analysis.convert(value, array.element, "the value for the array")
        return _returns(call)

    return check


def _same_element(analysis: AnalysisBase, call: tree.Call) -> Type:
    first, second = call.arguments[0].type, call.arguments[1].type
    both = isinstance(first, ArrayType) and isinstance(second, ArrayType)
    if both and first.element is not second.element:
        message = f"{call.target.name}: {first} and {second} have different elements"
        analysis.report(call.place, "T003", message)
    return _returns(call)


def _numbers(analysis: AnalysisBase, call: tree.Call) -> Type:
    of = call.arguments[0].type
    if isinstance(of, ArrayType) and not is_number(of.element):
        analysis.report(call.place, "T003", f"{call.target.name}: {of} is no array of numbers")
    return _returns(call)


def _zeroed(analysis: AnalysisBase, call: tree.Call) -> Type:
    of = call.arguments[0].type
    element = of.element if isinstance(of, ArrayType) else of
    is_object = isinstance(element, ClassType) and element.symbol.kind == "class"
    if is_object or isinstance(element, PointerType):
        analysis.report(call.place, "T003", f"ZeroMemory: {of} is more than its bytes")
    return _returns(call)


def _as_bytes(struct_at: int) -> Callable[[AnalysisBase, tree.Call], Type]:
    def check(analysis: AnalysisBase, call: tree.Call) -> Type:
        of = call.arguments[struct_at].type
        element = of
        plain = False
        if isinstance(call.target.parameters[struct_at].type, ArrayType):
            element = of.element if isinstance(of, ArrayType) else of
            plain = is_number(element)
        if isinstance(element, ClassType):
            plain = is_plain(element.symbol)
        if not plain and of is not ERROR:
            analysis.report(call.place, "T003", f"{call.target.name}: {of} is more than its bytes")
        return _returns(call)

    return check


def _resized(analysis: AnalysisBase, call: tree.Call) -> Type:
    of = call.arguments[0].type
    if isinstance(of, ArrayType) and of.size is not None:
        message = f"{call.target.name}: {of} has a fixed size"
        analysis.report(call.place, "T007", message)
    return _returns(call)


def _printed(analysis: AnalysisBase, call: tree.Call) -> Type:
    for argument, parameter in zip(call.arguments, call.target.parameters, strict=False):
        of = argument.type
        if parameter.type is ANY and of is not ERROR and not isinstance(of, ArrayType):
            check_printable(analysis, argument, f"argument of {call.target.name}")
    return _returns(call)


def _returns(call: tree.Call) -> Type:
    return call.target.returns  # type: ignore[no-any-return]  # symbols are Any in the tree


CHECKS: Final[dict[str, Callable[[AnalysisBase, tree.Call], Type]]] = {
    "GetPointer": _get_pointer,
    "EnumToString": _enum_to_string,
    "MathMin": _largest,
    "MathMax": _largest,
    "ArrayInitialize": _numeric_fill,
    "ArrayBsearch": _numeric_fill,
    "ArrayFill": _fill(3),
    "ArrayCopy": _same_element,
    "ArrayCompare": _same_element,
    "ArrayInsert": _same_element,
    "ArraySwap": _same_element,
    "ArraySort": _numbers,
    "ArrayMaximum": _numbers,
    "ArrayMinimum": _numbers,
    "ZeroMemory": _zeroed,
    "StructToCharArray": _as_bytes(0),
    "CharArrayToStruct": _as_bytes(0),
    "FileReadStruct": _as_bytes(1),
    "FileWriteStruct": _as_bytes(1),
    "FileReadArray": _as_bytes(1),
    "FileWriteArray": _as_bytes(1),
    "DatabaseBindArray": _as_bytes(2),
    "DatabaseColumnBlob": _as_bytes(2),
    "ArrayResize": _resized,
    "ArrayFree": _resized,
    "Print": _printed,
    "Alert": _printed,
    "Comment": _printed,
    "FileWrite": _printed,
    "StringConcatenate": _printed,
    "DatabaseBind": _printed,
}
