"""The mutants of a source file: each is the file with one small change.

Left out are changes that no test should notice: type annotations, docstrings, sentences (strings with a
space) and arguments that only document.
"""

import ast
import copy
import difflib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.Pow: ast.Mult,
    ast.BitOr: ast.BitAnd,
    ast.BitAnd: ast.BitOr,
}
FUNCTIONS = {"min": "max", "max": "min", "any": "all", "all": "any"}
LOOKUPS = {"gt": "gte", "gte": "gt", "lt": "lte", "lte": "lt", "iexact": "exact"}
# Without the call of such a method, its object remains: `rows.filter(…)` becomes `rows`.
METHODS = {
    "select_for_update", "filter", "exclude", "distinct", "order_by", "strip", "lower", "casefold",
}  # fmt: skip
# Without one of these nothing works, so its mutant would only raise the rate.
NEEDED_DECORATORS = {"property", "classmethod", "staticmethod", "contextmanager", "dataclass"}
NO_TRANSACTION = "__import__('contextlib').nullcontext()"
DOCUMENTING = {"help_text", "summary", "description", "examples", "verbose_name"}


@dataclass(frozen=True)
class Mutant:
    """One change of a file."""

    path: Path
    source: bytes
    change: str
    start: int  # the replaced bytes of the source
    end: int
    new: str
    lines: range  # of the statement, or of its head if it has a body
    in_function: bool  # otherwise the code runs when the module is imported

    @property
    def name(self) -> str:
        return f"{self.path}:{self.lines.start} {self.change}"

    def text(self) -> str:
        start, end = self.source[: self.start], self.source[self.end :]
        return (start + self.new.encode() + end).decode()

    def diff(self) -> str:
        """Return the lines that differ, without their context."""
        lines = difflib.unified_diff(
            self.source.decode().splitlines(), self.text().splitlines(), lineterm="", n=0
        )
        return "\n".join(f"    {line}" for line in list(lines)[3:] if not line.startswith("@@"))


def mutants_of(path: Path) -> list[Mutant]:
    """Return the mutants of a file, in the order of its lines."""
    source = path.read_bytes()
    starts = [0]
    for line in source.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    found: dict[tuple[int, int, str], Mutant] = {}
    for change, node, new, statement, in_function in _walk(ast.parse(source), None, False):
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        start = starts[node.lineno - 1] + node.col_offset
        end = starts[node.end_lineno - 1] + node.end_col_offset
        found.setdefault(
            (start, end, new),
            Mutant(path, source, change, start, end, new, _head(statement), in_function),
        )
    return list(found.values())


# What is changed, the replaced node, the new text, its statement, whether that is inside of a function.
Edit = tuple[str, ast.expr | ast.stmt, str, ast.stmt, bool]


def _walk(node: ast.AST, statement: ast.stmt | None, in_function: bool) -> Iterator[Edit]:
    """Yield the edits of a node and of all inside of it."""
    if isinstance(node, ast.stmt):
        statement = node
        for change, new in _edits_of_statement(node):
            yield change, node, new, node, in_function
    if isinstance(node, ast.expr):
        assert statement is not None
        for change, changed in _edits_of_expression(node):
            # In brackets, because the text around may bind more tightly.
            yield change, node, f"({ast.unparse(changed)})", statement, in_function
    for condition in _conditions(node):
        assert statement is not None
        yield (
            "condition negated",
            condition,
            f"(not {ast.unparse(condition)})",
            statement,
            in_function,
        )
    for name, value in ast.iter_fields(node):
        if name in {"annotation", "returns", "type_params"} or isinstance(value, ast.JoinedStr):
            continue
        if _is_documentation(node, name):
            continue
        inside = in_function or (isinstance(node, ast.FunctionDef) and name == "body")
        for child in value if isinstance(value, list) else [value]:
            # The parts of an f-string have no place of their own before Python 3.12.
            if isinstance(child, ast.AST) and not isinstance(child, ast.JoinedStr):
                if isinstance(node, ast.ClassDef) and name == "body":
                    yield from _without_attribute(child)
                if isinstance(node, ast.FunctionDef | ast.ClassDef) and name == "decorator_list":
                    yield from _without_decorator(node, child, in_function)
                yield from _walk(child, statement, inside)


def _is_documentation(node: ast.AST, field: str) -> bool:
    if isinstance(node, ast.keyword):
        return field == "value" and node.arg in DOCUMENTING
    # A docstring, or a string in its place.
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _head(statement: ast.stmt) -> range:
    """Return the lines of a statement; of one with a body, the lines before the body."""
    assert statement.end_lineno is not None
    decorators = getattr(statement, "decorator_list", [])
    first = min([statement.lineno, *(each.lineno for each in decorators)])
    body = getattr(statement, "body", None)
    return range(first, max(first + 1, body[0].lineno if body else statement.end_lineno + 1))


def _edits_of_statement(node: ast.stmt) -> Iterator[tuple[str, str]]:
    match node:
        case ast.Expr(value=ast.Call() | ast.Await()) | ast.AugAssign() | ast.Delete():
            yield "statement removed", "pass"
        case ast.Raise() | ast.Continue() | ast.Break():
            yield "statement removed", "pass"
        case ast.Assign(targets=[ast.Attribute() | ast.Subscript()]):
            yield "statement removed", "pass"
        case ast.Return(value=ast.expr() as value):
            if not (isinstance(value, ast.Constant) and value.value is None):
                yield "returns None", "return None"
    if isinstance(node, ast.AugAssign) and type(node.op) in ARITHMETIC:
        changed = copy.deepcopy(node)
        changed.op = ARITHMETIC[type(node.op)]()
        yield "arithmetic", ast.unparse(changed)


def _without_attribute(child: ast.AST) -> Iterator[Edit]:
    if isinstance(child, ast.Assign) or (isinstance(child, ast.AnnAssign) and child.value):
        assert isinstance(child, ast.stmt)
        yield "class attribute removed", child, "pass", child, False


def _without_decorator(
    node: ast.FunctionDef | ast.ClassDef, child: ast.AST, in_function: bool
) -> Iterator[Edit]:
    assert isinstance(child, ast.expr)
    name = ast.unparse(child.func if isinstance(child, ast.Call) else child)
    if name.split(".")[-1] not in NEEDED_DECORATORS and not name.endswith(".setter"):
        yield "decorator removed", child, "(lambda it: it)", node, in_function


def _conditions(node: ast.AST) -> Iterator[ast.expr]:
    """Yield the conditions of a node that no other edit turns round."""
    tests = []
    if isinstance(node, ast.If | ast.While | ast.IfExp):
        tests = [node.test]
    elif isinstance(node, ast.comprehension):
        tests = node.ifs
    for test in tests:
        is_not = isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not)
        if not is_not and not isinstance(test, ast.Compare):
            yield test


def _edits_of_expression(node: ast.expr) -> Iterator[tuple[str, ast.expr]]:
    match node:
        case ast.Compare(ops=operators):
            for at, operator in enumerate(operators):
                changed = copy.deepcopy(node)
                changed.ops[at] = COMPARISONS[type(operator)]()
                yield "comparison", changed
        case ast.BoolOp(op=operation, values=values):
            opposite = ast.Or() if isinstance(operation, ast.And) else ast.And()
            yield "and/or", ast.BoolOp(opposite, values)
        case ast.UnaryOp(op=ast.Not() | ast.USub(), operand=operand):
            yield "not or minus removed", operand
        case ast.BinOp(left=left, op=arithmetic, right=right) if type(arithmetic) in ARITHMETIC:
            yield "arithmetic", ast.BinOp(left, ARITHMETIC[type(arithmetic)](), right)
        case ast.Constant(value=value):
            yield from _other_constants(value)
        case ast.Call():
            yield from _other_calls(node)


def _other_constants(value: object) -> Iterator[tuple[str, ast.expr]]:
    if isinstance(value, bool):
        yield "constant", ast.Constant(not value)
    elif isinstance(value, int | float):
        yield "constant", ast.Constant(value + 1)
    elif isinstance(value, str) and " " not in value.strip():
        yield "constant", ast.Constant(f"XX{value}")


def _other_calls(node: ast.Call) -> Iterator[tuple[str, ast.expr]]:
    if isinstance(node.func, ast.Name) and node.func.id in FUNCTIONS:
        changed = copy.deepcopy(node)
        changed.func = ast.Name(FUNCTIONS[node.func.id])
        yield "function", changed
    if isinstance(node.func, ast.Attribute) and node.func.attr in METHODS:
        yield f"{node.func.attr} removed", node.func.value
    if isinstance(node.func, ast.Attribute) and node.func.attr == "atomic":
        yield "transaction removed", ast.parse(NO_TRANSACTION, mode="eval").body
    for at, keyword in enumerate(node.keywords):
        if keyword.arg is None or keyword.arg in DOCUMENTING:
            continue
        changed = copy.deepcopy(node)
        del changed.keywords[at]
        yield "argument removed", changed
        *start, lookup = keyword.arg.split("__")
        if start and lookup in LOOKUPS:
            changed = copy.deepcopy(node)
            changed.keywords[at].arg = "__".join([*start, LOOKUPS[lookup]])
            yield "lookup", changed
