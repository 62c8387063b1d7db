"""Write the study's report: page, figures and numbers."""

from _stage import stage

from collapselab.config.study import read_params
from collapselab.report.build import build


@stage
def main() -> None:
    out = build(read_params())
    print(f"the report is {out / 'report.html'}; {out / 'report.md'} reads well on a code host")


if __name__ == "__main__":
    main()
