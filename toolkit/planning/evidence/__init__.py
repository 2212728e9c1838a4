"""Documents for somebody who trusts nobody: bills of materials, and evidence for an answer."""
