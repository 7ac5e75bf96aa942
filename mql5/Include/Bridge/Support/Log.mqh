//+------------------------------------------------------------------+
//|                                                          Log.mqh |
//|                                                   mt5-zmq-bridge |
//+------------------------------------------------------------------+
// Lines for the Experts tab: one clear sentence each, with a level; repeated lines are counted
// instead of printed. May touch: Print, GetMicrosecondCount. The key is never given to it.

#ifndef BRIDGE_SUPPORT_LOG_MQH
#define BRIDGE_SUPPORT_LOG_MQH

//--- so many different lines are remembered, each so long
#define LOG_LINES     16
#define LOG_REPEAT_US 60000000

enum ENUM_LOG_LEVEL
  {
   LOG_LEVEL_DEBUG=0,   // everything, for the search of faults
   LOG_LEVEL_INFO=1,    // what happens
   LOG_LEVEL_WARNING=2, // what should not happen
   LOG_LEVEL_ERROR=3    // what needs a person
  };

//+------------------------------------------------------------------+
//| One log for the program.                                         |
//+------------------------------------------------------------------+
class CLog
  {
public:
                     CLog(void);
   void              Level(const ENUM_LOG_LEVEL level) { m_level=level; }
   ENUM_LOG_LEVEL    Level(void) const { return(m_level); }
   bool              Shows(const ENUM_LOG_LEVEL level) const { return(level>=m_level); }
   void              Name(const string name) { m_name=name; } // stands before every line: the alias
   void              Debug(const string text);
   void              Info(const string text);
   void              Warning(const string text);
   void              Error(const string text);
   void              Flush(void);                 // say how often the last lines were repeated

private:
   ENUM_LOG_LEVEL    m_level;
   string            m_name;
   //--- the lines of the last minute, each with how often it was held back
   string            m_lines[LOG_LINES];
   ulong             m_until_us[LOG_LINES];
   int               m_held[LOG_LINES];
   int               m_next;

   void              Write(const ENUM_LOG_LEVEL level,const string text);
   void              Release(const int index);
  };

CLog::CLog(void) : m_level(LOG_LEVEL_INFO),m_name(""),m_next(0)
  {
   for(int i=0; i<LOG_LINES; i++)
     {
      m_lines[i]="";
      m_until_us[i]=0;
      m_held[i]=0;
     }
  }

void CLog::Debug(const string text)
  {
   Write(LOG_LEVEL_DEBUG,text);
  }

void CLog::Info(const string text)
  {
   Write(LOG_LEVEL_INFO,text);
  }

void CLog::Warning(const string text)
  {
   Write(LOG_LEVEL_WARNING,text);
  }

void CLog::Error(const string text)
  {
   Write(LOG_LEVEL_ERROR,text);
  }

// The same line is printed once a minute; the next time it says how often it was held back.
void CLog::Write(const ENUM_LOG_LEVEL level,const string text)
  {
   if(!Shows(level))
      return;
   string begin="";
   if(level==LOG_LEVEL_DEBUG)
      begin="debug: ";
   if(level==LOG_LEVEL_WARNING)
      begin="warning: ";
   if(level==LOG_LEVEL_ERROR)
      begin="error: ";
   string line=(m_name=="" ? begin+text : m_name+": "+begin+text);
   ulong now_us=GetMicrosecondCount();
   for(int i=0; i<LOG_LINES; i++)
      if(m_lines[i]==line)
        {
         if(now_us<m_until_us[i])
           {
            m_held[i]++;
            return;
           }
         int held=m_held[i];
         m_held[i]=0;
         m_until_us[i]=now_us+LOG_REPEAT_US;
         if(held>0)
            line+=StringFormat(" (and %d times before)",held);
         Print(line);
         return;
        }
   Release(m_next);
   m_lines[m_next]=line;
   m_until_us[m_next]=now_us+LOG_REPEAT_US;
   m_next=(m_next+1)%LOG_LINES;
   Print(line);
  }

void CLog::Release(const int index)
  {
   if(m_held[index]>0)
      Print(m_lines[index],StringFormat(" (%d times more)",m_held[index]));
   m_held[index]=0;
   m_lines[index]="";
  }

void CLog::Flush(void)
  {
   for(int i=0; i<LOG_LINES; i++)
      Release(i);
   m_next=0;
  }

#endif // BRIDGE_SUPPORT_LOG_MQH
