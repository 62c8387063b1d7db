"""Write the study's report: page, figures and numbers."""

from collapselab.config.study import read_params
from collapselab.report.build import build

from _stage import stage


@stage
def main() -> None:
    out = build(read_params())
    print(f"the report is {out / 'report.html'}; {out / 'report.md'} reads well on a code host")


if __name__ == "__main__":
    main()
