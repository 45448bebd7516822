"""The words of the frame and of its drawings, in both languages."""

from __future__ import annotations

from typing import Final

ZH: Final[dict[str, str]] = {
    "look.skip": "跳到正文",
    "look.brand": "掌柜",
    "look.rail": "主导航",
    "look.language": "语言",
    "look.theme": "外观：",
    "look.theme.auto": "自动",
    "look.theme.light": "浅色",
    "look.theme.dark": "深色",
    "look.never": "从未",
    "look.now": "刚刚",
    "look.seconds": "{n} 秒前",
    "look.minutes": "{n} 分钟前",
    "look.hours": "{n} 小时前",
    "look.days": "{n} 天前",
    "look.soon": "时间在未来",
    "look.loading": "正在载入",
    "look.stock.ok": "充足",
    "look.stock.low": "偏少",
    "look.stock.empty": "售空",
    "look.stock.count": "{units}/{capacity}",
    "look.stock.sentence": "{name}：{word}，{units} 件，满 {capacity} 件",
    "look.chart.table": "数据表",
    "look.chart.none": "还没有数据",
}

EN: Final[dict[str, str]] = {
    "look.skip": "Skip to content",
    "look.brand": "Zhanggui",
    "look.rail": "Main",
    "look.language": "Language",
    "look.theme": "Theme: ",
    "look.theme.auto": "Auto",
    "look.theme.light": "Light",
    "look.theme.dark": "Dark",
    "look.never": "never",
    "look.now": "just now",
    "look.seconds": "{n} s ago",
    "look.minutes": "{n} min ago",
    "look.hours": "{n} h ago",
    "look.days": "{n} d ago",
    "look.soon": "in the future",
    "look.loading": "Loading",
    "look.stock.ok": "enough",
    "look.stock.low": "low",
    "look.stock.empty": "empty",
    "look.stock.count": "{units}/{capacity}",
    "look.stock.sentence": "{name}: {word}, {units} of {capacity} units",
    "look.chart.table": "Data table",
    "look.chart.none": "No data yet",
}
